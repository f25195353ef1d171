// A TCP connection in the shape of a WebSocket, for stompjs.

import net from 'node:net';

export class TCPSocket {
  binaryType = 'arraybuffer';
  readyState = 0;

  constructor(host, port) {
    this.url = `tcp://${host}:${port}`;
    this.socket = net.connect(port, host, () => {
      this.readyState = 1;
      this.onopen?.();
    });
    this.socket.on('data', (data) => this.onmessage?.({ data: data.buffer.slice(data.byteOffset, data.byteOffset + data.length) }));
    this.socket.on('error', (e) => this.onerror?.(e));
    this.socket.on('close', () => {
      this.readyState = 3;
      this.onclose?.({ code: 1000 });
    });
  }

  send(data) {
    this.socket.write(typeof data === 'string' ? data : Buffer.from(data));
  }

  close() {
    this.readyState = 2;
    this.socket.end();
  }

  terminate() {
    this.socket.destroy();
  }
}
