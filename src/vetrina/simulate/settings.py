"""Every number that the simulated shoppers live by, in groups, with its meaning."""

from __future__ import annotations

from pydantic import Field

from vetrina.core.component import Config

__all__ = ["Clicks", "Listing", "Relevance", "SimulationConfig", "Taste", "Traffic", "Writing"]


class Traffic(Config):
    """Who comes, how often, and what is new."""

    sessions_per_week: float = Field(default=2.6, gt=0, description="Mean of a shopper's sessions, once arrived.")
    activity_shape: float = Field(
        default=1.5, gt=0, description="Gamma shape of that rate over shoppers; small is uneven."
    )
    browse_share: float = Field(
        default=0.3, ge=0, le=1, description="Sessions that look at recommendations, without a query."
    )
    arriving_shoppers: float = Field(
        default=0.4, ge=0, le=1, description="Share of shoppers who first come inside the period."
    )
    arriving_items: float = Field(
        default=0.15, ge=0, le=1, description="Share of products that go on sale inside the period."
    )
    standing_intents: int = Field(default=4, ge=1, description="Wishes that a shopper keeps coming back to.")
    repeat_share: float = Field(default=0.5, ge=0, le=1, description="Searches that return to one of those.")


class Taste(Config):
    """How strongly each side of a product moves a shopper, in units of log-odds."""

    base: float = Field(default=-1.8, description="Log-odds of liking a product that one is indifferent to.")
    other_section: float = Field(default=4.0, ge=0, description="Taken off for another gender's products.")
    unisex: float = Field(default=0.2, ge=0, description="Taken off for unisex products.")
    second_section: float = Field(
        default=0.15, ge=0, le=1, description="Share of shoppers who buy for a second gender too."
    )
    category: float = Field(default=0.5, ge=0)
    colour: float = Field(default=1.5, ge=0)
    brand: float = Field(default=1.4, ge=0)
    price: float = Field(default=1.8, ge=0)
    price_tolerance: float = Field(
        default=0.25, gt=0, description="Width of the price level one is at ease with, in ranks 0..1."
    )
    looks: float = Field(default=1.1, ge=0)
    appeal: float = Field(default=0.4, ge=0, description="What everybody likes about a product.")
    focus: float = Field(default=0.7, ge=0, description="How far taste decides what is searched for; 0 is anything.")


class Relevance(Config):
    """How far a product answers the words of a query: factors, 1 where it does."""

    sibling: float = Field(default=0.25, ge=0, le=1, description="Another type beneath the same parent category.")
    department: float = Field(default=0.05, ge=0, le=1, description="Another type of the same top category.")
    near_colour: float = Field(default=0.6, ge=0, le=1)
    other_colour: float = Field(default=0.25, ge=0, le=1)
    unisex: float = Field(default=0.8, ge=0, le=1)
    other_gender: float = Field(default=0.15, ge=0, le=1)
    other_brand: float = Field(default=0.3, ge=0, le=1)
    missing_words: float = Field(
        default=0.3, ge=0, le=1, description="None of the query's remaining words in the product's."
    )


class Writing(Config):
    """What people put into a query: chances."""

    colour: float = Field(default=0.35, ge=0, le=1)
    gender: float = Field(default=0.25, ge=0, le=1)
    brand: float = Field(default=0.08, ge=0, le=1)
    detail: float = Field(default=0.08, ge=0, le=1, description='A further word of a title, as in "linen shirt".')
    broader: float = Field(default=0.12, ge=0, le=1, description='The parent category, as in "shoes".')
    synonym: float = Field(default=0.08, ge=0, le=1, description='Another word for it, as in "sneakers".')
    singular: float = Field(default=0.4, ge=0, le=1)


class Listing(Config):
    """The logging policy: what made the lists that were shown. It knows nobody."""

    length: int = Field(default=20, ge=1)
    popularity: float = Field(default=0.04, ge=0, description="Weight beside the lexical score, which lies in 0..1.")
    noise: float = Field(default=0.15, ge=0, description="Standard deviation of the noise on a search's scores.")
    browse_noise: float = Field(default=1.0, ge=0, description="The same on recommendations, beside popularity (sd 1).")
    shuffled: float = Field(
        default=0.15, ge=0, le=1, description="Lists shown in random order, so that position bias shows."
    )
    half_life: float = Field(default=14.0, gt=0, description="Days in which a click's weight in popularity halves.")
    drift: float = Field(default=0.3, ge=0, description="Standard deviation of a slow random swell in what is pushed.")


class Clicks(Config):
    """The click model: a list position is looked at or not, then judged on its own."""

    decay: float = Field(default=0.5, ge=0, description="Position k is examined with probability k ** -decay.")
    attraction: float = Field(default=0.85, ge=0, le=1, description="P(click) once examined, at utility 1.")
    stray: float = Field(default=0.012, ge=0, le=1, description="P(click) once examined, at utility 0.")
    cart: float = Field(default=0.2, ge=0, le=1, description="P(cart) once clicked, at utility 1.")
    purchase: float = Field(default=0.35, ge=0, le=1, description="Chance of buying what is in the cart.")


class SimulationConfig(Config):
    """All parameters of a simulation. The defaults are written out with every simulated log.

    Examples
    --------
    >>> SimulationConfig(n_shoppers=50, days=10).clicks.decay
    0.5
    """

    n_shoppers: int = Field(default=1200, ge=1)
    days: int = Field(default=60, ge=1)
    seed: int = Field(default=0, ge=0)
    traffic: Traffic = Traffic()
    taste: Taste = Taste()
    relevance: Relevance = Relevance()
    writing: Writing = Writing()
    listing: Listing = Listing()
    clicks: Clicks = Clicks()
