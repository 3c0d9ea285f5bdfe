"""What stands in our houses, what lies about in them, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

TaskType = Literal[
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
]
Size = Literal["nano", "tiny", "small", "room", "full"]
Split = Literal["train", "valid_seen", "valid_unseen", "test"]

SPLITS: tuple[Split, ...] = ("train", "valid_seen", "valid_unseen", "test")


@dataclass(frozen=True)
class Room:
    """A kind of room: the furniture it always has, what else may stand in it, and how many of each at most."""

    always: tuple[str, ...]
    more: dict[str, int]


@dataclass(frozen=True)
class Measure:
    """How much is in a room of some size: (least, most) receptacles and objects."""

    receptacles: tuple[int, int]
    objects: tuple[int, int]
    shared: float
    """Chance that a receptacle stands so close to the one before that both are reached at once."""
    device: int = 0
    """Receptacles more where the room must have a microwave, a fridge or a sink: the smallest rooms with one are so few
    that a split might have none."""


SIZES: dict[str, Measure] = {
    "nano": Measure((2, 3), (1, 3), 0.0, 1),
    "tiny": Measure((4, 6), (6, 9), 0.0),
    "small": Measure((8, 10), (12, 16), 0.0),
    "room": Measure((13, 17), (22, 28), 0.1),
    "full": Measure((17, 29), (33, 48), 0.15),
}

ROOMS: dict[str, Room] = {
    "kitchen": Room(
        ("Fridge", "Microwave", "SinkBasin"),
        {
            **{"CounterTop": 3, "Cabinet": 10, "Drawer": 7, "Shelf": 4, "DiningTable": 2, "StoveBurner": 4},
            **{"GarbageCan": 1, "Toaster": 1, "CoffeeMachine": 1, "SideTable": 1},
        },
    ),
    "bedroom": Room(
        ("Desk", "Bed"),
        {
            **{"Drawer": 9, "Shelf": 6, "SideTable": 2, "Dresser": 1, "Wardrobe": 2, "ArmChair": 1},
            **{"GarbageCan": 1, "Safe": 1, "LaundryHamper": 1},
        },
    ),
    "livingroom": Room(
        ("Sofa", "CoffeeTable"),
        {
            **{"SideTable": 3, "Shelf": 7, "Drawer": 7, "Cabinet": 5, "ArmChair": 3, "TVStand": 1},
            **{"Bookcase": 2, "GarbageCan": 1, "DiningTable": 1, "Ottoman": 1},
        },
    ),
    "bathroom": Room(
        ("SinkBasin", "Toilet"),
        {
            **{"Cabinet": 6, "Drawer": 5, "Shelf": 4, "CounterTop": 2, "BathtubRim": 1, "TowelRack": 3},
            **{"GarbageCan": 1, "Cart": 1, "PaperHolder": 2, "LaundryHamper": 1},
        },
    ),
    "study": Room(
        ("Desk", "Bookcase"),
        {
            **{"Drawer": 8, "Shelf": 8, "SideTable": 2, "ArmChair": 1, "Cabinet": 4, "Safe": 1},
            **{"GarbageCan": 1, "Bookcase": 2, "Cart": 1},
        },
    ),
}

ALWAYS_SHUT = frozenset({"Fridge", "Microwave", "Safe", "Wardrobe"})
"""What always has a door."""
SOMETIMES_SHUT = frozenset({"Cabinet", "Drawer"})
"""What has a door that opens in about half the cases, as in the released games, where many cannot be reached."""

_FLAT = ("CounterTop", "DiningTable", "SideTable", "Desk", "CoffeeTable", "Dresser", "Shelf", "TVStand", "Cart")
_STORE = ("Cabinet", "Drawer", "Bookcase", "Wardrobe")
_SEAT = ("Sofa", "ArmChair", "Bed", "Ottoman")
_KITCHEN = ("CounterTop", "DiningTable", "SideTable", "Cabinet", "Shelf", "SinkBasin")
_FOOD = ("CounterTop", "DiningTable", "SideTable", "Fridge", "SinkBasin", "Microwave", "GarbageCan")


@dataclass(frozen=True)
class Thing:
    """A kind of object: where it may be put, in which rooms it is found, what can be done with it."""

    holders: tuple[str, ...]
    rooms: tuple[str, ...]
    can: frozenset[str] = frozenset()
    lamp: bool = False


def _thing(holders: tuple[str, ...], rooms: str, can: str = "", *, lamp: bool = False) -> Thing:
    return Thing(tuple(dict.fromkeys(holders)), tuple(rooms.split()), frozenset(can.split()), lamp)


_WASH, _EAT, _HOT = "cleanable", "cleanable heatable coolable", "cleanable heatable coolable sliceable"
_DRY = "bedroom livingroom study"

THINGS: dict[str, Thing] = {
    "Mug": _thing((*_FOOD, *_KITCHEN, "Desk", "CoffeeMachine", "Drawer"), "kitchen bedroom study", _EAT),
    "Cup": _thing((*_FOOD, *_KITCHEN), "kitchen", _EAT),
    "Plate": _thing((*_FOOD, *_KITCHEN, "CoffeeTable"), "kitchen livingroom", _EAT),
    "Bowl": _thing((*_FOOD, *_KITCHEN, "Desk", "CoffeeTable"), "kitchen livingroom study", _WASH + " coolable"),
    "Teapot": _thing((*_KITCHEN, "StoveBurner"), "kitchen", _WASH),
    "Pan": _thing((*_KITCHEN, "StoveBurner", "Fridge"), "kitchen", _WASH + " coolable"),
    "Pot": _thing((*_KITCHEN, "StoveBurner", "Fridge"), "kitchen", _WASH + " coolable"),
    "Fork": _thing((*_KITCHEN, "Drawer"), "kitchen", _WASH),
    "Spoon": _thing((*_KITCHEN, "Drawer"), "kitchen", _WASH),
    "Ladle": _thing((*_KITCHEN, "Drawer"), "kitchen", _WASH),
    "Knife": _thing((*_KITCHEN, "Drawer"), "kitchen", _WASH),
    "ButterKnife": _thing((*_KITCHEN, "Drawer"), "kitchen", _WASH),
    "Apple": _thing(_FOOD, "kitchen", _HOT),
    "Pear": _thing(_FOOD, "kitchen", _HOT),
    "Potato": _thing(_FOOD, "kitchen", _HOT),
    "Carrot": _thing(_FOOD, "kitchen", _HOT),
    "Tomato": _thing(_FOOD, "kitchen", _HOT),
    "Bread": _thing((*_FOOD, "Toaster"), "kitchen", "heatable coolable sliceable"),
    "Egg": _thing(_FOOD, "kitchen", _EAT),
    "Jar": _thing((*_KITCHEN, "Fridge", "GarbageCan"), "kitchen", "coolable"),
    "Sponge": _thing((*_KITCHEN, "BathtubRim", "Cart", "Drawer"), "kitchen bathroom", _WASH),
    "Soap": _thing(
        ("SinkBasin", "CounterTop", "Cabinet", "Drawer", "BathtubRim", "Toilet", "Cart", "Shelf", "GarbageCan"),
        "bathroom",
        _WASH,
    ),
    "Flannel": _thing(
        ("SinkBasin", "CounterTop", "Cabinet", "Drawer", "BathtubRim", "TowelRack", "Cart", "Shelf", "LaundryHamper"),
        "bathroom",
        _WASH,
    ),
    "Towel": _thing(("TowelRack", "BathtubRim", "Cabinet", "LaundryHamper"), "bathroom"),
    "PaperRoll": _thing(("PaperHolder", "Toilet", "Cabinet", "Drawer", "CounterTop", "GarbageCan"), "bathroom"),
    "Candle": _thing((*_FLAT, "Toilet", "BathtubRim", "Drawer", "Cabinet"), "bathroom livingroom"),
    "Bottle": _thing((*_FLAT, "Cabinet", "Toilet", "GarbageCan", "BathtubRim"), "bathroom kitchen"),
    "Comb": _thing(("CounterTop", "Drawer", "Shelf", "Cart", "SideTable", "Dresser"), "bathroom bedroom"),
    "Book": _thing((*_FLAT, *_SEAT, "Drawer", "Bookcase"), _DRY),
    "Pen": _thing((*_FLAT, "Drawer", "GarbageCan"), _DRY),
    "Pencil": _thing((*_FLAT, "Drawer", "GarbageCan"), _DRY),
    "Notebook": _thing((*_FLAT, *_SEAT, "Drawer", "Bookcase"), _DRY),
    "Laptop": _thing(("Desk", "Bed", "Sofa", "CoffeeTable", "DiningTable", "ArmChair", "SideTable"), _DRY),
    "Phone": _thing((*_FLAT, *_SEAT, "Drawer", "Safe"), _DRY),
    "Keys": _thing((*_FLAT, *_SEAT, "Drawer", "Safe"), _DRY),
    "Wallet": _thing((*_FLAT, *_SEAT, "Drawer", "Safe", "Wardrobe"), _DRY),
    "Watch": _thing((*_FLAT, "Drawer", "Safe", "Ottoman"), _DRY),
    "Clock": _thing(("Desk", "SideTable", "Shelf", "Dresser", "Bookcase", "TVStand"), _DRY),
    "Cushion": _thing((*_SEAT,), "bedroom livingroom"),
    "Remote": _thing((*_FLAT, *_SEAT, "Drawer"), "livingroom"),
    "Newspaper": _thing((*_FLAT, *_SEAT, "Drawer", "GarbageCan"), "livingroom study"),
    "Magazine": _thing((*_FLAT, *_SEAT, "Drawer", "GarbageCan", "Bookcase"), "livingroom study"),
    "Vase": _thing((*_FLAT, "Bookcase", "Cabinet"), "livingroom study"),
    "Box": _thing((*_FLAT, *_SEAT, "Wardrobe", "Cabinet", "Bookcase"), _DRY),
    "Scarf": _thing((*_SEAT, *_STORE, "Dresser", "LaundryHamper"), "bedroom"),
    "DeskLamp": _thing(("Desk", "SideTable", "Dresser", "Shelf", "CoffeeTable"), _DRY, lamp=True),
    "FloorLamp": _thing(("SideTable", "Desk", "CoffeeTable"), "livingroom", lamp=True),
}


def rooms_for(kind: str) -> tuple[str, ...]:
    """Return the rooms in which a task type can be set.

    Raises:
        ConfigError: there is no such task type.
    """
    known: dict[str, tuple[str, ...]] = {
        "pick_and_place_simple": tuple(ROOMS),
        "pick_two_obj_and_place": tuple(ROOMS),
        "look_at_obj_in_light": ("bedroom", "livingroom", "study"),
        "pick_clean_then_place_in_recep": ("kitchen", "bathroom"),
        "pick_heat_then_place_in_recep": ("kitchen",),
        "pick_cool_then_place_in_recep": ("kitchen",),
    }
    if kind not in known:
        raise ConfigError(f"household has no task type {kind!r}; there are: {', '.join(known)}.")
    return known[kind]


def contains(receptacle: str, thing: str) -> bool:
    """Say whether a thing may be put into or onto a kind of receptacle."""
    return receptacle in THINGS[thing].holders
