//! Who speaks to exchanges: feeds, recordings, the synthetic market.
