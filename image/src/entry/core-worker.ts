/** A worker of as-core as a part of `keel`. */
import '@keelos/as-core/worker.ts';
