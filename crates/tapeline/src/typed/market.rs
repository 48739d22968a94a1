//! Market data: prices, books, prints, candles, and what is written about instruments.

use serde::Serialize;
use tapeline_schema::events::{
    BookRow, Candle, Level, MarketTrade, NewsItem, OrderBook, PriceUpdate, SentimentUpdate, Signal,
    SocialPost, Time,
};

use super::keyed;
use crate::bus::EventBus;
use crate::publish::Publish;

impl EventBus {
    /// A new price: reaches subscribers of `market_data:{symbol}`, `market_data` and `price_updates`, each once.
    pub fn publish_market_data(
        &self,
        symbol: impl Into<String>,
        price: f64,
        change: f64,
        volume: f64,
    ) -> Publish<'_> {
        self.publish_event(&PriceUpdate {
            symbol: symbol.into(),
            price,
            change,
            volume,
            bid: None,
            ask: None,
            change_24h: None,
            change_24h_pct: None,
            source_time: None,
        })
    }

    /// A whole order book, best prices first, on `orderbook:{symbol}`.
    pub fn publish_orderbook(
        &self,
        symbol: impl Into<String>,
        bids: Vec<Level>,
        asks: Vec<Level>,
    ) -> Publish<'_> {
        let symbol = symbol.into();
        let channel = keyed("orderbook", &symbol);
        let (bids, asks) = (Some(bids), Some(asks));
        let book = OrderBook {
            symbol: Some(symbol),
            bids,
            asks,
            checksum: None,
            timestamp: None,
            extra: Default::default(),
        };
        self.publish(channel, book)
    }

    /// Changed levels of a book, on `orderbook_rows:{symbol}`; a quantity of 0 removes one.
    pub fn publish_orderbook_rows(&self, symbol: impl AsRef<str>, rows: &[BookRow]) -> Publish<'_> {
        self.publish_rows(keyed("orderbook_rows", symbol), rows, false)
    }

    /// All levels of a book, on `orderbook_rows:{symbol}`; others are gone.
    pub fn publish_orderbook_snapshot(&self, symbol: impl AsRef<str>, rows: &[BookRow]) -> Publish<'_> {
        self.publish_rows(keyed("orderbook_rows", symbol), rows, true)
    }

    /// A trade of somebody's at a venue, on `market_trades:{symbol}`; `side` is `buy` or `sell`.
    pub fn publish_market_trade(
        &self,
        symbol: impl Into<String>,
        price: f64,
        quantity: f64,
        side: impl Into<String>,
        time: impl Into<Time>,
    ) -> Publish<'_> {
        let (symbol, side, time) = (symbol.into(), side.into(), time.into());
        self.publish_event(&MarketTrade { symbol, price, quantity, side, trade_id: None, time })
    }

    /// What prices did in one interval, on `ohlc:{symbol}:{interval}`.
    pub fn publish_ohlc(&self, candle: &Candle) -> Publish<'_> {
        self.publish_event(candle)
    }

    /// What people think of an instrument, from -1 to 1, on `sentiment:{symbol}`.
    pub fn publish_sentiment(&self, symbol: impl Into<String>, score: f64) -> Publish<'_> {
        self.publish_event(&SentimentUpdate { symbol: symbol.into(), score, source: None })
    }

    /// A piece of news, on `news`.
    pub fn publish_news(&self, news: &NewsItem) -> Publish<'_> {
        self.publish_event(news)
    }

    /// A post, on `social`.
    pub fn publish_social(&self, post: &SocialPost) -> Publish<'_> {
        self.publish_event(post)
    }

    /// A strategy's signal, any object, on `quantum_signals`; [`Signal`] has the usual fields.
    pub fn publish_signal(&self, signal: &impl Serialize) -> Publish<'_> {
        self.publish(<Signal as super::CatalogEvent>::FAMILY, signal)
    }
}
