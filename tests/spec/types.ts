// How the generated types are used; `tsc --strict` must take all of it and refuse what is marked.

import type { Channels, DataOf, Message, PriceUpdate, Published, ServerFrame } from '../../spec/types/tapeline';

export function priceOf(message: Message): number | undefined {
  switch (message.type) {
    case 'price_update':
      return message.data.price;
    case 'orderbook_rows':
      return message.data.rows.find(([side]) => side === 'b')?.[1];
    case 'position_update':
      return message.data.rows.map((row) => ('removed' in row ? 0 : (row.price ?? 0)))[0];
    default:
      return undefined;
  }
}

export function wordsOf(frame: ServerFrame): string {
  return frame.type === 'error' ? `${frame.code}: ${frame.message}` : frame.type;
}

export const fill: Published['trades:{portfolio_id}'] = {
  portfolio_id: 'p',
  symbol: 'AAPL',
  trade_type: 'BUY',
  quantity: 1,
  price: 187.4,
};

export const gone: Published['positions:{portfolio_id}'] = { symbol: 'AAPL', removed: true };

export const byName: DataOf<'market_data:BTC/USD'>['price'] = 1;
export const byRollUp: Channels['price_updates'] = { symbol: 'AAPL', price: 1, change: 0, volume: 1 };
export const own: DataOf<'my.own'> = [1, 'anything'];

// @ts-expect-error volume is required
export const lacking: PriceUpdate = { symbol: 'AAPL', price: 1, change: 0 };

// @ts-expect-error a price is a number
export const wrong: DataOf<'market_data:AAPL'>['price'] = '1';
