//! Whole conversations without sockets: what the venue says goes in, what the session says and tells comes out.

mod talk;
mod venue;

mod account;
mod books;
mod chaos;
mod market;
mod time;
