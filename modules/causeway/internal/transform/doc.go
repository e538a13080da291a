// Package transform stands between a listener and its codec: received frames are
// decrypted and decompressed before the codec sees them, its answers go the same way
// back, and the bodies of its messages are decoded, reduced and compressed.
//
// A [Chain] is the compiled setting of one listener. [Chain.Wrap] puts it around a
// codec, which stays a codec.Codec with the add-ons that it had, so that neither the
// session nor the codec knows of it; without a setting there is no chain and nothing is
// around anything.
//
// Whatever a device sends is bounded: the output of decompression, the depth and the
// counts of binary formats, the size of a body. What exceeds a bound, or cannot be
// decrypted or decoded, is a malformed frame.
package transform
