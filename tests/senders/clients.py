"""Sends with the published Python libraries. Arguments: the address of `naru up`, a key."""
import sys
address, key = sys.argv[1:3]
base = f"http://{address}"

from mixpanel import Mixpanel, Consumer
consumer = Consumer(events_url=f"{base}/track", people_url=f"{base}/engage", groups_url=f"{base}/groups", import_url=f"{base}/import")
mixpanel = Mixpanel(key, consumer=consumer)
mixpanel.track("u1", "Signed up", {"plan": "pro", "가입": True})
mixpanel.import_data("ignored", "u2", "Old", 1700000000, {"n": 1})
mixpanel.people_set("u1", {"$name": "김"})
mixpanel.group_set("company", "acme", {"size": 3})

import segment.analytics as segment
segment.write_key, segment.host, segment.gzip = key, base, True
segment.on_error = lambda error, items: sys.exit(f"segment: {error}")
segment.track("u1", "Bought", {"price": 12.5})
segment.identify("u1", {"plan": "pro"})
segment.shutdown()

import requests
from cloudevents.v1.conversion import to_binary, to_structured
from cloudevents.v1.http import CloudEvent
event = CloudEvent({"type": "test.made", "source": "/py", "id": "ce-1"}, {"n": 1})
for headers, body in (to_structured(event), to_binary(event)):
    answer = requests.post(f"{base}/v1/cloudevents", data=body, headers={**headers, "Authorization": f"Bearer {key}"})
    assert answer.json()["accepted"] == 1 and answer.json()["failed"] == [], answer.text

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry._logs import SeverityNumber
provider = LoggerProvider(resource=Resource.create({"service.name": "shop"}))
exporter = OTLPLogExporter(endpoint=f"{base}/v1/logs", headers={"authorization": f"Bearer {key}"})
provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
logger = provider.get_logger("app")
logger.emit(body="first", severity_number=SeverityNumber.WARN, severity_text="WARN", attributes={"n": 7, "list": ["a", "b"]})
provider.shutdown()
print("all sent")
