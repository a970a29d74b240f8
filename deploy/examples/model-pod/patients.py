"""What a biopsy looks like to the tumour model, and made-up ones of it.

Owns: the schema (which features the model reads, which only travel along) and the seeded generator
of patients and their biopsies, so that a run can be repeated value for value.
Does not: know scikit-learn, HTTP or logs. Standard library only: the load generator runs anywhere.

Every person here is made up. Addresses are at example.com/.org, phones in the fictitious 555-01xx
block, IPs in the documentation networks, cards on a test prefix, and all of them have valid check
digits, because a detector that checks digits must find them.
"""

import random
import uuid

# name: (mean and deviation of benign ones, the same of malignant ones, decimals). The columns of
# scikit-learn's breast cancer data in its order, and its figures: what is sent looks like what the
# model was trained on.
NUMERIC = {
    "mean_radius": (12.15, 1.778, 17.46, 3.196, 3),
    "mean_texture": (17.91, 3.99, 21.6, 3.771, 2),
    "mean_perimeter": (78.08, 11.79, 115.4, 21.8, 2),
    "mean_area": (462.8, 134.1, 978.4, 367.1, 1),
    "mean_smoothness": (0.09248, 0.01343, 0.1029, 0.01258, 5),
    "mean_compactness": (0.08008, 0.0337, 0.1452, 0.05386, 5),
    "mean_concavity": (0.04606, 0.04338, 0.1608, 0.07484, 5),
    "mean_concave_points": (0.02572, 0.01589, 0.08799, 0.03429, 5),
    "mean_symmetry": (0.1742, 0.02477, 0.1929, 0.02757, 4),
    "mean_fractal_dimension": (0.06287, 0.006738, 0.06268, 0.007555, 5),
    "error_radius": (0.2841, 0.1124, 0.6091, 0.3442, 4),
    "error_texture": (1.22, 0.5884, 1.211, 0.482, 4),
    "error_perimeter": (2.0, 0.7701, 4.324, 2.562, 3),
    "error_area": (21.14, 8.831, 72.67, 61.21, 2),
    "error_smoothness": (0.007196, 0.003056, 0.00678, 0.002884, 6),
    "error_compactness": (0.02144, 0.01633, 0.03228, 0.01834, 5),
    "error_concavity": (0.026, 0.03287, 0.04182, 0.02155, 5),
    "error_concave_points": (0.009858, 0.005701, 0.01506, 0.005504, 5),
    "error_symmetry": (0.02058, 0.006989, 0.02047, 0.01004, 5),
    "error_fractal_dimension": (0.003636, 0.002934, 0.004062, 0.002037, 6),
    "worst_radius": (13.38, 1.979, 21.13, 4.273, 2),
    "worst_texture": (23.52, 5.486, 29.32, 5.422, 2),
    "worst_perimeter": (87.01, 13.51, 141.4, 29.39, 1),
    "worst_area": (558.9, 163.4, 1422.0, 596.6, 1),
    "worst_smoothness": (0.125, 0.01999, 0.1448, 0.02182, 4),
    "worst_compactness": (0.1827, 0.09205, 0.3748, 0.17, 4),
    "worst_concavity": (0.1662, 0.1402, 0.4506, 0.1811, 4),
    "worst_concave_points": (0.07444, 0.03575, 0.1822, 0.0462, 4),
    "worst_symmetry": (0.2702, 0.04169, 0.3235, 0.07451, 4),
    "worst_fractal_dimension": (0.07944, 0.01378, 0.09153, 0.0215, 5),
}
MALIGNANT_RATE = 0.37

# Not read by the model, but logged with the features, as in the field: who it was. The first group
# can be told by its shape; the second only by its field's name. `note` is free text with both an
# e-mail address and a phone number of the first group in it.
SHAPED = ("user_email", "phone", "card_number", "ssn", "ip_address", "iban")
NAMED = ("user_name", "birth_date")

FIRST = ("ada", "bela", "chen", "dina", "emil", "fatima", "goran", "hanna", "ivan", "jun")
LAST = ("abel", "brandt", "costa", "duarte", "evans", "fischer", "gupta", "hoang", "ito", "jansen")


def biopsy(seed: int) -> dict:
    """The same biopsy for the same seed: 30 numbers, 9 personal values, 5 identifiers."""
    rng = random.Random(seed)
    is_malignant = rng.random() < MALIGNANT_RATE
    # Cells that are large are so in most of their measures.
    size = rng.gauss(0, 1)
    numbers = {}
    for name, (benign, benign_by, malignant, malignant_by, decimals) in NUMERIC.items():
        mean, deviation = (malignant, malignant_by) if is_malignant else (benign, benign_by)
        numbers[name] = round(abs(mean + deviation * (0.8 * size + 0.6 * rng.gauss(0, 1))), decimals)
    return {
        **numbers,
        "clinic_id": f"C{rng.randrange(10_000):04d}",
        "country": rng.choice(["DE", "FR", "US", "PT", "JP"]),
        "channel": rng.choice(["ward", "practice", "screening"]),
        # Numbers that are long, and yet neither a card nor a phone: they must come through as they are.
        "scanner_hash": rng.randrange(10**15, 2**53),
        "record_opened_ms": 1_500_000_000_000 + rng.randrange(10**11),
        **patient(rng),
    }


def patient(rng: random.Random) -> dict:
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
        "note": f"please call {phone} or write to {email} before the visit",
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
