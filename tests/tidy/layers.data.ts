/** Modules that are allowed what the layers forbid, each with the reason. */
import type { Exception } from './layers.ts';

/** The exceptions. One that is no longer needed fails the test. */
export const LAYER_EXCEPTIONS: readonly Exception[] = [];
