"""Mixpanel's library over https, as it insists on it. Arguments: the address of `naru up`, a key, the certificate."""
import os, sys
address, key, certificate = sys.argv[1:4]
os.environ["REQUESTS_CA_BUNDLE"] = certificate
from mixpanel import Mixpanel, Consumer, BufferedConsumer
Mixpanel(key, consumer=Consumer(api_host=address)).track("u1", "Over TLS", {"n": 1})
buffered = BufferedConsumer(api_host=address)
mixpanel = Mixpanel(key, consumer=buffered)
# More than naru takes of one sender in a second: it answers 429 with the seconds to wait, and the library sends again.
for n in range(120):
    mixpanel.track("u2", "Buffered", {"n": n})
buffered.flush()
import requests
assert requests.get(f"https://{address}/healthz").text == "ok\n"
limited = [line for line in requests.get(f"https://{address}/metrics").text.splitlines() if 'reason="rate"' in line]
assert limited, "naru never answered 429"
print("all sent")
