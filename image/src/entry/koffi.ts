/**
 * What `koffi` is inside the image: the native file at its fixed place, without the package's search for it.
 */
import { createRequire } from 'node:module';

const KOFFI_PATH = '/usr/lib/keel/koffi.node';

/** The native module, the same object that the npm package exports as its default. */
export default createRequire(KOFFI_PATH)(KOFFI_PATH);
