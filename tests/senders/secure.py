"""Mixpanel's library over https, as it insists on it. Arguments: the address of `naru up`, a key, the certificate."""
import os, sys
address, key, certificate = sys.argv[1:4]
os.environ["REQUESTS_CA_BUNDLE"] = certificate
from mixpanel import Mixpanel, Consumer, BufferedConsumer
Mixpanel(key, consumer=Consumer(api_host=address)).track("u1", "Over TLS", {"n": 1})
buffered = BufferedConsumer(api_host=address)
mixpanel = Mixpanel(key, consumer=buffered)
for n in range(120):
    mixpanel.track("u2", "Buffered", {"n": n})
buffered.flush()
import requests
assert requests.get(f"https://{address}/healthz").text == "ok\n"
print("all sent")
