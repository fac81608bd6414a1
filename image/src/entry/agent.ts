/** The agent as a part of `keel`. */
export { main } from '@keelos/ts-agent/main.ts';
