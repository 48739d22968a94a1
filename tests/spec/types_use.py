"""How the generated types are used; `mypy --strict` must take all of it and refuse what is marked."""

from tapeline_types import Channels, Message, PriceUpdate, PublishedData, ServerFrame, Trade


def price_of(message: Message) -> float | None:
    if message["type"] == "price_update":
        return message["data"]["price"]
    if message["type"] == "metric":
        rows = message["data"]["rows"]
        return float(len(rows))
    return None


def words_of(frame: ServerFrame) -> str:
    return frame["code"] if frame["type"] == "error" else frame["type"]


fill: Trade = {"portfolio_id": "p", "symbol": "AAPL", "trade_type": "BUY", "quantity": 1, "price": 187.4}


def data_of(channels: Channels, published: PublishedData) -> PriceUpdate:
    published["trades:{portfolio_id}"] = fill
    return channels["market_data:{symbol}"]


lacking: PriceUpdate = {"symbol": "AAPL", "price": 1, "change": 0}  # type: ignore[typeddict-item]
