//! Bytes to core requests and back: the Open Inference Protocol.
