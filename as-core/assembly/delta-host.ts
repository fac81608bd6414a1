// What the patch coder needs from outside.

/** Puts `length` old bytes from `place` on to `pointer`. Anything but 0 ends the coding with that status. */
// @ts-ignore: decorator
@external('host', 'readOld')
export declare function readOld(place: u32, pointer: u32, length: u32): i32;
