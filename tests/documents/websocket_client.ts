// The WebSocketClient of the WebSocket middleware integration guide (section 2.1, src/utils/websocket.ts), word for word.
// It is the acceptance test of the native protocol: never change it to make a test pass.

export class WebSocketClient {
  private ws: WebSocket | null = null;
  private clientId: string;
  private reconnectAttempts = 0;
  private maxReconnectAttempts = 5;
  private reconnectDelay = 1000;
  private subscriptions = new Set<string>();

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  connect() {
    const wsUrl = process.env.REACT_APP_WEBSOCKET_URL || 'ws://localhost:8002';
    this.ws = new WebSocket(`${wsUrl}/ws/${this.clientId}`);

    this.ws.onopen = () => {
      console.log('WebSocket connected');
      this.reconnectAttempts = 0;
      
      // Resubscribe to previously subscribed symbols
      this.subscriptions.forEach(symbol => {
        this.subscribe(symbol);
      });
    };

    this.ws.onmessage = (event) => {
      const message = JSON.parse(event.data);
      this.handleMessage(message);
    };

    this.ws.onclose = () => {
      console.log('WebSocket disconnected');
      this.reconnect();
    };

    this.ws.onerror = (error) => {
      console.error('WebSocket error:', error);
    };
  }

  subscribe(symbol: string) {
    if (this.ws?.readyState === WebSocket.OPEN) {
      this.ws.send(JSON.stringify({
        action: 'subscribe',
        symbol: symbol
      }));
      this.subscriptions.add(symbol);
    }
  }

  unsubscribe(symbol: string) {
    if (this.ws?.readyState === WebSocket.OPEN) {
      this.ws.send(JSON.stringify({
        action: 'unsubscribe',
        symbol: symbol
      }));
      this.subscriptions.delete(symbol);
    }
  }

  private handleMessage(message: any) {
    switch (message.type) {
      case 'orderbook_update':
        // Emit event or call callback
        this.onOrderBookUpdate?.(message.symbol, message.data);
        break;
      case 'subscription_confirmed':
        console.log(`Subscribed to ${message.symbol}`);
        break;
      case 'error':
        console.error('WebSocket error:', message.message);
        break;
    }
  }

  private reconnect() {
    if (this.reconnectAttempts < this.maxReconnectAttempts) {
      this.reconnectAttempts++;
      const delay = this.reconnectDelay * Math.pow(2, this.reconnectAttempts - 1);
      
      setTimeout(() => {
        console.log(`Attempting to reconnect (${this.reconnectAttempts}/${this.maxReconnectAttempts})`);
        this.connect();
      }, delay);
    }
  }

  disconnect() {
    if (this.ws) {
      this.ws.close();
    }
  }

  // Callback for order book updates
  onOrderBookUpdate?: (symbol: string, data: any) => void;
}
