// Runs the features in Node. usage: node node.mjs URL

import mqtt from 'mqtt';

import { run } from './features.mjs';

await run(mqtt, process.argv[2], (line) => console.log(line));
process.exit(0);
