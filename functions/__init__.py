"""The deployed functions, one folder each.

Importing what a function stands on makes hundreds of thousands of long-lived objects, and a collector that walks them
again and again takes a fifth of the cold start. It stays off until the first request (`shared.observability`).
"""

import gc

gc.disable()
