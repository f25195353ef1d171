// usage: node node.mjs ws URL | node node.mjs tcp HOST PORT

import { Client } from '@stomp/stompjs';
import WebSocket from 'ws';

import { run } from './features.mjs';
import { TCPSocket } from './tcp.mjs';

const [transport, ...address] = process.argv.slice(2);
const connection = {
  ws: () => ({ webSocketFactory: () => new WebSocket(address[0], ['v12.stomp', 'v11.stomp', 'v10.stomp']) }),
  tcp: () => ({ webSocketFactory: () => new TCPSocket(address[0], Number(address[1])) }),
}[transport];

await run(Client, connection, console.log);
process.exit(0);
