"""A FastAPI function whose schema `Item` means something else than that of `pets`."""

from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()


class Owner(BaseModel):
    """The same in both functions."""

    name: str


class Item(BaseModel):
    """A person."""

    age: int


class Box(BaseModel):
    """The same text in both functions, with another `Item` in it."""

    item: Item
    owner: Owner


@app.get("/{number}")
def read(number: int) -> Owner:
    """Somebody."""
    return Owner(name=str(number))


@app.post("/")
@app.post("/api/people", include_in_schema=False)
def create(box: Box) -> Box:
    """Answers what it was given."""
    return box


handler = Mangum(app, lifespan="off")
