"""The deployed functions, one folder each.

Importing what a function stands on makes hundreds of thousands of long-lived objects, and a collector that walks them
again and again costs a cold start. It stays off until the first request (`shared.observability`).

That also brings more than a hundred models along, those of FastAPI for OpenAPI and those of the clients of Supabase, of
which a function uses a few. They are built when they are first used.
"""

import gc

from pydantic import BaseModel

gc.disable()
BaseModel.model_config["defer_build"] = True
