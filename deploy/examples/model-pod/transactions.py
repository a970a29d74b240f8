"""What a card transaction looks like to the fraud model, and synthetic ones of it.

Owns: the schema (which features the model reads, which only travel along) and the seeded generator
of customers and payments, so that a run can be repeated value for value.
Does not: know scikit-learn, HTTP or logs. Standard library only: the load generator runs anywhere.

Every person here is made up. Addresses are at example.com/.org, phones in the fictitious 555-01xx
block, IPs in the documentation networks, cards on a test prefix, and all of them have valid check
digits, because a detector that checks digits must find them.
"""

import random
import uuid

# name: (mean, standard deviation, decimals). The model is trained on exactly these, in this order.
NUMERIC = {
    "amount": (120.0, 80.0, 2),
    "amount_7d_mean": (95.0, 60.0, 2),
    "amount_30d_max": (640.0, 300.0, 2),
    "transactions_1h": (2.0, 1.5, 0),
    "transactions_24h": (9.0, 5.0, 0),
    "account_age_days": (900.0, 500.0, 0),
    "hours_since_last": (31.0, 22.0, 3),
    "distance_km": (14.0, 40.0, 4),
    "merchant_risk": (0.21, 0.12, 6),
    "country_risk": (0.12, 0.09, 6),
    "device_age_days": (210.0, 150.0, 0),
    "failed_logins_24h": (0.6, 1.1, 0),
    "chargeback_rate": (0.011, 0.009, 8),
    "velocity_score": (0.48, 0.2, 6),
    "typing_speed_cps": (5.4, 1.6, 3),
    "basket_size": (3.2, 2.0, 0),
    "discount_ratio": (0.08, 0.07, 5),
    "night_ratio": (0.17, 0.12, 5),
}

# Not read by the model, but logged with the features, as in the field: who it was. The first group
# can be told by its shape; the second only by its field's name. `note` is free text with both an
# e-mail address and a phone number of the first group in it.
SHAPED = ("user_email", "phone", "card_number", "ssn", "ip_address", "iban")
NAMED = ("user_name", "birth_date")

FIRST = ("ada", "bela", "chen", "dina", "emil", "fatima", "goran", "hanna", "ivan", "jun")
LAST = ("abel", "brandt", "costa", "duarte", "evans", "fischer", "gupta", "hoang", "ito", "jansen")


def transaction(seed: int) -> dict:
    """The same payment for the same seed: 18 numbers, 9 personal values, 5 identifiers."""
    rng = random.Random(seed)
    numbers = {
        name: round(abs(rng.gauss(mean, deviation)), decimals) if decimals
        else abs(round(rng.gauss(mean, deviation)))
        for name, (mean, deviation, decimals) in NUMERIC.items()
    }
    return {
        **numbers,
        "merchant_id": f"M{rng.randrange(10_000):04d}",
        "country": rng.choice(["DE", "FR", "US", "PT", "JP"]),
        "channel": rng.choice(["web", "app", "pos"]),
        # Numbers that are long, and yet neither a card nor a phone: they must come through as they are.
        "device_hash": rng.randrange(10**15, 2**53),
        "account_opened_ms": 1_500_000_000_000 + rng.randrange(10**11),
        **customer(rng),
    }


def customer(rng: random.Random) -> dict:
    """Every kind of personal data that a detector should know, in one made-up person."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    email = f"{first}.{last}{rng.randrange(1000)}@example.{rng.choice(['com', 'org'])}"
    phone = f"+1-{rng.choice([212, 312, 415, 617])}-555-01{rng.randrange(100):02d}"
    return {
        "user_email": email,
        "user_name": f"{first.title()} {last.title()}",
        "phone": phone,
        "card_number": card_number(rng),
        "ssn": f"{rng.randrange(1, 666):03d}-{rng.randrange(1, 100):02d}-{rng.randrange(1, 10_000):04d}",
        "ip_address": f"{rng.choice(['192.0.2', '198.51.100', '203.0.113'])}.{rng.randrange(1, 255)}",
        "birth_date": f"{rng.randrange(1940, 2006)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
        "iban": iban(rng),
        "note": f"please call {phone} or write to {email} before you ship",
    }


def card_number(rng: random.Random) -> str:
    digits = "424242" + f"{rng.randrange(10**9):09d}"
    doubled = sum(sum(divmod(2 * int(d), 10)) for d in digits[::-2])
    plain = sum(int(d) for d in digits[-2::-2])
    number = digits + str(-(doubled + plain) % 10)
    return " ".join(number[i:i + 4] for i in range(0, 16, 4)) if rng.random() < 0.5 else number


def iban(rng: random.Random) -> str:
    account = f"{rng.randrange(10**18):018d}"
    check = 98 - int(account + "131400") % 97  # "DE00" moved behind, letters as numbers
    return f"DE{check:02d}{account}"


def request_id(seed: int) -> str:
    return str(uuid.UUID(int=random.Random(f"id {seed}").getrandbits(128), version=4))
