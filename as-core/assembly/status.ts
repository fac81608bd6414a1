// Status of a call: every exported function that can be refused returns one. as-core/src/status.ts has the same table.

/** Done. */
export const STATUS_OK: i32 = 0;
/** The call does not fit the state of the stream: data after its end. */
export const STATUS_WRONG_STATE: i32 = 1;
/** The length is over the size of the input area. */
export const STATUS_INPUT_TOO_LONG: i32 = 2;
/** The stream is longer than the format can say. */
export const STATUS_STREAM_TOO_LONG: i32 = 3;
/** A number is outside the range that the call takes. */
export const STATUS_OUT_OF_RANGE: i32 = 4;

// From 20 on: the data is at fault, not the caller.

/** The image ends before its last block. */
export const STATUS_VERITY_IMAGE_TOO_SHORT: i32 = 20;
