// Runs the features in a real page. usage: node browser.mjs CHROMIUM URL

import { readFile } from 'node:fs/promises';
import http from 'node:http';

import { chromium } from 'playwright-core';

const [executablePath, brokerURL] = process.argv.slice(2);
const page = `<!doctype html><meta charset="utf-8"><title>MQTT</title>
<script src="/mqtt.js"></script>
<script type="module">
  import { run } from '/features.mjs';
  await run(mqtt, ${JSON.stringify(brokerURL)}, (line) => console.log(line));
  console.log('end');
</script>`;
const files = {
  '/': ['text/html', async () => page],
  '/favicon.ico': ['image/x-icon', async () => ''],
  '/features.mjs': ['text/javascript', () => readFile('features.mjs')],
  '/mqtt.js': ['text/javascript', () => readFile('node_modules/mqtt/dist/mqtt.min.js')],
};

const server = http.createServer(async (request, response) => {
  const [type, content] = files[request.url] ?? [];
  if (!type) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': type }).end(await content());
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const tab = await browser.newPage();
await new Promise((resolve, reject) => {
  tab.on('console', (message) => (message.text() === 'end' ? resolve() : console.log(message.text())));
  tab.on('pageerror', reject);
  tab.goto(`http://127.0.0.1:${server.address().port}/`).catch(reject);
});
await browser.close();
server.close();
