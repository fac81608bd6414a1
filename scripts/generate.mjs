// Makes the code that is not committed: proto/gen from the .proto files.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
execFileSync(`${root}node_modules/.bin/buf`, ['generate'], {
  cwd: `${root}proto`,
  stdio: 'inherit',
  env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH}` },
});
