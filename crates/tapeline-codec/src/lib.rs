//! How bytes are framed: pure codecs without I/O.
