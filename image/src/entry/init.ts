/** PID 1 as a part of `keel`. */
export { main } from '@keelos/ts-init/main.ts';
