// Sends with the published Node.js libraries. Arguments: the address of `naru up`, a key.
const [address, key] = process.argv.slice(-2);
const base = `http://${address}`;
const done = (name) => (error) => { if (error) { console.error(name, error); process.exit(1); } };
const call = (name, start) => new Promise((resolve) => start((error) => { done(name)(error); resolve(); }));
(async () => {
  const Mixpanel = require("mixpanel");
  const mixpanel = Mixpanel.init(key, { host: address, protocol: "http" });
  await call("track", (cb) => mixpanel.track("Clicked", { distinct_id: "u3", time: new Date(1700000000000), n: 1 }, cb));
  await call("batch", (cb) => mixpanel.track_batch([{ event: "A", properties: { distinct_id: "u4" } }, { event: "B", properties: { distinct_id: "u4" } }], {}, (errors) => cb(errors && errors[0])));
  await call("people", (cb) => mixpanel.people.set("u3", { $name: "이" }, cb));
  const { Analytics } = require("@segment/analytics-node");
  const segment = new Analytics({ writeKey: key, host: base, flushAt: 1 });
  segment.on("error", done("segment"));
  segment.track({ userId: "u5", event: "Node bought", properties: { price: 1 } });
  await segment.closeAndFlush();
  const Rudder = require("@rudderstack/rudder-sdk-node");
  const rudder = new (Rudder.default || Rudder)(key, { dataPlaneUrl: base, flushAt: 1, gzip: true });
  await call("rudder", (cb) => rudder.track({ userId: "u6", event: "Rudder bought" }, cb));
  const { CloudEvent, HTTP } = require("cloudevents");
  const event = new CloudEvent({ type: "test.made", source: "/js", id: "ce-2", data: { n: 2 } });
  for (const message of [HTTP.binary(event), HTTP.structured(event)]) {
    const answer = await fetch(`${base}/v1/cloudevents`, { method: "POST", headers: { ...message.headers, authorization: `Bearer ${key}` }, body: message.body });
    const said = await answer.json();
    if (said.accepted !== 1 || said.failed.length) done("cloudevents")(JSON.stringify(said));
  }
  const { LoggerProvider, SimpleLogRecordProcessor } = require("@opentelemetry/sdk-logs");
  for (const kind of ["http", "proto"]) {
    const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${kind}`);
    const exporter = new OTLPLogExporter({ url: `${base}/v1/logs`, headers: { authorization: `Bearer ${key}` } });
    const provider = new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter })] });
    provider.getLogger("app").emit({ body: kind, severityNumber: 9, severityText: "INFO", attributes: { n: 8 } });
    await provider.forceFlush();
    await provider.shutdown();
  }
  console.log("all sent");
  process.exit(0);
})();
