//! Whole conversations without sockets: what the venue says goes in, what the session says and tells comes out.

mod talk;

mod market;
