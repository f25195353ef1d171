// Works with the console in a page. usage: node console.mjs CHROMIUM OPEN-CONSOLE GUARDED-CONSOLE [SCREENSHOTS]

import { chromium } from 'playwright-core';

const [executablePath, open, guarded, pictures] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const patience = Number(process.env.PATIENCE ?? 60_000); // ms

async function tab(options = {}) {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true, ...options })).newPage();
  page.setDefaultTimeout(patience);
  page.complaints = [];
  page.on('pageerror', (e) => page.complaints.push(String(e)));
  page.on('console', (m) => {
    // The browser tells of each answer that says no; those are asked for here.
    if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) page.complaints.push(m.text());
  });
  return page;
}

let failed = false; // each thing builds on those before it

async function feature(name, run) {
  if (failed) return;
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (e) {
    failed = true;
    console.log(`FAIL ${name}: ${String(e.message).split('\n').slice(0, 6).join(' | ')}`);
  }
}

const see = (page, text) => page.getByText(text).first().waitFor();
const press = (page, name) => page.getByRole('button', { name, exact: true }).click();
const picture = (page, name) => pictures && page.screenshot({ path: `${pictures}/${name}.png` });

async function expect(what, got, want) {
  if (got !== want) throw new Error(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

// hides waits until a dialog is gone, and fails with what it says otherwise.
async function hides(page) {
  await page.locator('dialog').waitFor({ state: 'detached' });
}

async function send(page, text, properties) {
  await press(page, 'Send a message');
  await page.getByLabel('Body', { exact: true }).fill(text);
  if (properties) await page.getByLabel('Properties').fill(properties);
  await press(page, 'Send');
  await hides(page);
}

const page = await tab();
await page.goto(`${open}/`);

await feature('overview with live rates', async () => {
  await see(page, 'Messages a second');
  await page.locator('.legend dd').first().waitFor();
  await page.locator('svg polyline').first().waitFor({ state: 'attached' });
  await see(page, 'stomp://127.0.0.1:');
});

await feature('make a queue', async () => {
  await page.getByRole('link', { name: 'Queues', exact: true }).first().click();
  await press(page, 'New queue');
  await page.getByLabel('Name', { exact: true }).fill('orders.north/<b>1</b>');
  await press(page, 'Create');
  await page.getByRole('heading', { level: 1, name: 'orders.north/<b>1</b>' }).waitFor();
});

await feature('send and look at a message', async () => {
  await send(page, '{"order": 1, "items": [1, 2]}', 'region=north');
  await send(page, 'second', 'region=south');
  await see(page, 'second');
  await page.getByRole('row').filter({ hasText: '"order": 1' }).getByRole('button').click();
  await page.locator('dialog pre').filter({ hasText: '"items": [' }).waitFor();
  await page.locator('dialog').getByText('region').waitFor();
  await press(page, 'Bytes');
  await page.locator('dialog pre').filter({ hasText: '7b 22 6f 72 64 65 72' }).waitFor();
  await picture(page, 'message');
  await page.locator('dialog').getByRole('button', { name: 'Close' }).click();
});

await feature('select messages', async () => {
  await page.getByLabel('Selector').fill("region = 'south'");
  await press(page, 'Select');
  await page.getByText('"order": 1').waitFor({ state: 'detached' });
  await page.getByLabel('Selector').fill('region = = 1');
  await press(page, 'Select');
  await page.locator('.problem').filter({ hasText: /position|column|at /i }).waitFor();
  await page.getByLabel('Selector').fill('');
  await press(page, 'Select');
  await see(page, '"order": 1');
});

await feature('copy, move and delete chosen messages', async () => {
  await page.getByLabel(/^Choose ID:|^Choose \d/).first().check();
  await press(page, 'Copy');
  await page.getByLabel('To the queue').fill('orders.copy');
  await page.getByLabel('Make it if it does not exist').check();
  await page.locator('dialog').getByRole('button', { name: 'Copy' }).click();
  await see(page, '1 done');
  await page.getByLabel('Choose all shown').check();
  await see(page, '2 messages chosen');
  await press(page, 'Move');
  await page.getByLabel('To the queue').fill('nowhere');
  await page.locator('dialog').getByRole('button', { name: 'Move' }).click();
  await page.locator('dialog .problem').filter({ hasText: 'nowhere' }).waitFor();
  await page.getByLabel('To the queue').fill('orders.copy');
  await page.locator('dialog').getByRole('button', { name: 'Move' }).click();
  await see(page, '2 done');
  await see(page, 'No messages wait.');
  await page.goto(`${open}/#/queues/orders.copy`);
  await page.getByLabel(/^Choose ID:|^Choose \d/).nth(2).check();
  await page.locator('section').getByRole('button', { name: 'Delete' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByLabel(/^Choose ID:|^Choose \d/).nth(2).waitFor({ state: 'detached' });
  await picture(page, 'queue');
});

await feature('pause and resume', async () => {
  await press(page, 'Pause');
  await page.locator('.badge').getByText('paused').first().waitFor();
  await press(page, 'Resume');
  await page.getByRole('button', { name: 'Pause', exact: true }).waitFor();
});

await feature('export', async () => {
  const [download] = await Promise.all([page.waitForEvent('download'), press(page, 'Export')]);
  await expect('its name', download.suggestedFilename(), 'orders.copy.jsonl');
});

await feature('purge takes the name', async () => {
  await press(page, 'Purge');
  await page.getByLabel('Type orders.copy to confirm').fill('orders');
  await page.locator('dialog').getByRole('button', { name: 'Purge' }).click();
  await page.locator('dialog .problem').getByText('That is not its name.').waitFor();
  await page.getByLabel('Type orders.copy to confirm').fill('orders.copy');
  await page.locator('dialog').getByRole('button', { name: 'Purge' }).click();
  await see(page, '2 messages are gone.');
});

await feature('schedule, send now and remove', async () => {
  await press(page, 'Send a message');
  await page.getByLabel('Body', { exact: true }).fill('hourly');
  await page.getByLabel('Cron').fill('61 * * * *');
  await press(page, 'Send');
  await page.locator('dialog .problem').filter({ hasText: '61' }).waitFor();
  await page.getByLabel('Cron').fill('0 0 1 1 *');
  await press(page, 'Send');
  await see(page, 'Scheduled.');
  await page.goto(`${open}/#/schedules`);
  await see(page, '0 0 1 1 *');
  await press(page, 'Send now');
  await press(page, 'Send');
  await hides(page);
  await press(page, 'Remove');
  await page.locator('dialog').getByRole('button', { name: 'Remove' }).click();
  await see(page, 'Nothing is scheduled.');
});

await feature('filter and sort stay in the address', async () => {
  await page.goto(`${open}/#/queues`);
  await page.keyboard.press('/');
  await page.keyboard.type('copy');
  await page.getByRole('link', { name: 'orders.north' }).waitFor({ state: 'detached' });
  await press(page, 'Messages');
  await page.waitForURL(/filter=copy.*sort=messages.*order=desc/);
  await page.reload();
  await see(page, 'orders.copy');
  await expect('the filter', await page.getByLabel('Part of a name, or orders.>').inputValue(), 'copy');
  await page.locator('th[aria-sort=descending]').waitFor();
});

await feature('topics, subscriptions and connections', async () => {
  await page.goto(`${open}/#/topics`);
  await press(page, 'New topic');
  await page.getByLabel('Name', { exact: true }).fill('news');
  await press(page, 'Create');
  await see(page, 'made on purpose');
  await page.goto(`${open}/#/subscriptions`);
  await see(page, 'Nobody subscribes to a topic.');
  await page.goto(`${open}/#/connections`);
  await see(page, 'Nobody is connected.');
});

await feature('the policy and the scripts have no complaints', async () => {
  await expect('complaints', page.complaints.join('; '), '');
});

const other = await tab({ colorScheme: 'dark' });
await feature('a wrong password is told', async () => {
  await other.goto(`${guarded}/`);
  await other.getByLabel('User').fill('reader');
  await other.getByLabel('Password').fill('wrong');
  await other.locator('dialog').getByRole('button', { name: 'Log in' }).click();
  await other.locator('dialog .problem').filter({ hasText: 'not accepted' }).waitFor();
});

await feature('readers see and change nothing', async () => {
  await other.getByLabel('Password').fill('password');
  await other.locator('dialog').getByRole('button', { name: 'Log in' }).click();
  await see(other, 'Messages a second');
  await other.goto(`${guarded}/#/queues/seen`);
  await other.getByRole('heading', { level: 1, name: 'seen' }).waitFor();
  await see(other, 'Nobody consumes.');
  for (const name of ['Send a message', 'Pause', 'Purge', 'Delete', 'Move all']) {
    await expect(name, await other.getByRole('button', { name, exact: true }).count(), 0);
  }
  await expect('transactions', await other.getByRole('link', { name: 'Transactions' }).count(), 0);
  await other.goto(`${guarded}/#/`);
  await other.locator('svg polyline').first().waitFor({ state: 'attached' });
  await picture(other, 'overview-dark');
});

await feature('log out', async () => {
  await press(other, 'Log out');
  await other.getByLabel('Password').waitFor();
  await expect('complaints', other.complaints.join('; '), '');
});

await browser.close();
