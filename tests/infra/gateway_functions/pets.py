"""A FastAPI function whose schema `Item` means something else than that of `people`."""

from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()


class Owner(BaseModel):
    """The same in both functions."""

    name: str


class Item(BaseModel):
    """A pet."""

    species: str


class Box(BaseModel):
    """The same text in both functions, with another `Item` in it."""

    item: Item
    owner: Owner


@app.post("/")
@app.post("/api/pets", include_in_schema=False)
def create(box: Box) -> Box:
    """Answers what it was given."""
    return box


handler = Mangum(app, lifespan="off")
