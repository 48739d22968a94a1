//! What can be said: channels, families, the catalogue, codes.
