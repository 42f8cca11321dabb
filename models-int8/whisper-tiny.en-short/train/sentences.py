"""Text to be spoken: commands and everyday sentences from a small grammar, and sentences of prose.

The prose is prose.txt: sentences of "The Adventures of Sherlock Holmes" by Arthur Conan Doyle (1892, public domain; Project Gutenberg 1661).
"""

import pathlib
import re

ROOMS = "kitchen,bedroom,living room,hall,bathroom,office,garage,garden,dining room,attic,basement,nursery,study,landing".split(",")
THINGS = "lights,lamp,fan,heating,television,radio,blinds,curtains,ceiling light,heater,air conditioning,speaker,floor lamp,sockets".split(",")
ITEMS = "milk,bread,eggs,apples,butter,toothpaste,batteries,rice,onions,paper towels,light bulbs,dog food,cheese,a birthday card".split(",")
NAMES = "Anna,Michael,Doctor Brown,my mother,the office,Sarah,Uncle Peter,the school,Mrs. Hughes,Tom,the plumber,Grandma".split(",")
CITIES = "London,Boston,Berlin,Sydney,Edinburgh,Chicago,Dublin,Toronto,Madrid,Oslo,Vienna,Cape Town".split(",")
MUSIC = "some jazz,classical music,the news,my morning playlist,the next song,a podcast about history,Mozart,rain sounds,the radio,something quiet".split(",")
DAYS = "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday,today,tomorrow,the weekend,next week".split(",")
COLOURS = "red,blue,warm white,green,orange,purple,daylight".split(",")
UNITS = "seconds,minutes,hours".split(",")

TEMPLATES = """
turn {onoff} the {room} {thing}
turn the {thing} {onoff}
switch {onoff} the {thing} in the {room}
{onoff2} the {room}
set the {room} lights to {percent} percent
dim the {room} to {percent}
make the {room} lights {colour}
set a timer for {number} {unit}
set a {number} minute timer
start a timer for {number} {unit} and {number} seconds
cancel the timer
how much time is left
wake me up at {clock}
set an alarm for {clock} on {day}
add {item} to the shopping list
add {item} and {item} to my list
what is on my shopping list
remove {item} from the list
play {music}
play {music} in the {room}
pause the music
next track
volume up
turn it down a little
set the volume to {percent} percent
what's the weather like {day}
will it rain in {city} {day}
how cold is it in {city}
set the temperature to {degrees} degrees
is the {room} window open
open the {room} curtains
close the blinds in the {room}
lock the front door
is the back door locked
what time is it
what's the date {day}
call {name}
send a message to {name} saying I will be {number} minutes late
remind me to call {name} at {clock}
remind me on {day} to buy {item}
how far is it to {city}
tell me a joke
stop
yes
no thanks
cancel that
good morning
good night
never mind
thank you very much
I think {name} is coming on {day}
we ran out of {item} again
my flight to {city} leaves at {clock} on {day}
the meeting with {name} has been moved to {clock}
could you please turn {onoff} the {thing} before you leave the {room}
it was about {number} miles from {city}, and we walked all the way
I told {name} that the {thing} in the {room} had been broken since {day}
""".strip().splitlines()

ONES = "one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty ninety".split() + ["twenty five", "forty two"]
CLOCKS = "six thirty,seven o'clock,half past eight,quarter to nine,five a.m.,ten fifteen,noon,eleven p.m.,seven forty five".split(",")


def command(rng):
    """One sentence of the grammar, as a person would write it."""
    choose = {
        "onoff": ["on", "off"], "onoff2": ["light up", "darken", "clean", "heat"], "room": ROOMS, "thing": THINGS, "item": ITEMS, "name": NAMES, "city": CITIES,
        "music": MUSIC, "day": DAYS, "colour": COLOURS, "unit": UNITS, "number": ONES, "percent": ["ten", "twenty five", "thirty", "fifty", "seventy", "a hundred"],
        "degrees": ["eighteen", "nineteen", "twenty", "twenty one and a half", "sixty eight"], "clock": CLOCKS,
    }
    text = re.sub(r"\{(\w+)\}", lambda found: str(rng.choice(choose[found[1]])), str(rng.choice(TEMPLATES)))
    question = text.split()[0] in ("what", "what's", "will", "how", "is", "could")
    return text[0].upper() + text[1:] + ("?" if question else ".")


def prose():
    """The sentences of prose.txt."""
    return (pathlib.Path(__file__).parent / "prose.txt").read_text(encoding="utf-8").splitlines()


def sentence(rng, share_of_commands=0.45):
    """A command or a sentence of prose."""
    return command(rng) if rng.random() < share_of_commands else str(rng.choice(prose()))
