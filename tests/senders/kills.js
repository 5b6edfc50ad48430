// Sends with published libraries until standard input ends; then one line: what was acknowledged, by topic.
// Arguments: `senders` or `pubsub`, the address of naru's HTTP door. What fails is not sent again by this script.
const [part, address] = process.argv.slice(-2);
const told = { track: [], calls: [], orders: [] };
let over = false;
process.stdin.on('end', () => { over = true; });
process.stdin.resume();
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function mixpanel() {
  const sender = require('mixpanel').init('none', { host: address, protocol: 'http' });
  for (let n = 1; !over; n++) {
    await new Promise((resolve) => sender.track(`js-${n}`, { distinct_id: 'u' }, (error) => {
      if (!error) told.track.push(`js-${n}`);
      resolve();
    }));
    await pause(5);
  }
}

async function segment() {
  const { Analytics } = require('@segment/analytics-node');
  const sender = new Analytics({ writeKey: 'none', host: `http://${address}`, flushAt: 10, flushInterval: 100, maxRetries: 30 });
  sender.on('error', () => {});
  for (let n = 1; !over; n++) {
    sender.track({ userId: 'u', event: `js-${n}` }, (error) => { if (!error) told.calls.push(`js-${n}`); });
    await pause(5);
  }
  await sender.closeAndFlush({ timeout: 120_000 });
}

async function pubsub() {
  const { PubSub } = require('@google-cloud/pubsub');
  const topic = new PubSub({ projectId: 'acme' }).topic('orders');
  const sent = [];
  for (let n = 1; !over; n++) {
    const id = `js-${n}`;
    const published = topic.publishMessage({ data: Buffer.from(JSON.stringify({ id })) });
    sent.push(published.then(() => told.orders.push(id), () => {}));
    await pause(5);
  }
  await Promise.race([Promise.all(sent), pause(120_000)]);
}

const parts = { senders: [mixpanel, segment], pubsub: [pubsub] }[part];
Promise.all(parts.map((run) => run())).then(
  // A pipe takes a long line in pieces, and an end before the last would cut it.
  () => { process.stdout.write(`${JSON.stringify(told)}\n`, () => process.exit(0)); },
  (error) => { console.error(error); process.exit(1); },
);
