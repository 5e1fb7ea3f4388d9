// Package plainval writes plain values one after the other, and reads them back strictly: whatever the bytes are, a
// [Decoder] returns values that an [Encoder] could have written, or an error, and allocates no more than they are long.
//
// The bytes say nothing of what they are. Reader and writer agree on the order of the values by a version, which is sent
// beside them: a later version reads what an earlier one wrote.
package plainval
