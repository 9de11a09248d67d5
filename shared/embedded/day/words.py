"""Invented names and words of the simulated day. Nobody of them exists; the numbers are reserved for fiction."""

from typing import Final

FIRST: Final = (
    "Abel", "Adele", "Bruno", "Cass", "Delia", "Edgar", "Flora", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Leopold", "Marta", "Nils",
    "Oona", "Pavel", "Quinn", "Rosalind", "Stellan", "Thea", "Ulla", "Viola", "Wendel", "Xenia", "Yusuf", "Zelda",
)  # fmt: skip
LAST: Final = (
    "Ashgrove", "Birchley", "Corwood", "Dunmere", "Elmhurst", "Fennick", "Glasby", "Hartwell", "Inglemoor", "Juniper", "Kestrel",
    "Larkspur", "Mossford", "Northam", "Oakhollow", "Pennywhistle", "Quillon", "Ravensby", "Sedgewick", "Thornbury",
)  # fmt: skip
# Complaint, what would make it right, catalyst.
COMPLAINTS: Final = (
    ("I was told Tuesday, then Thursday, and now nobody knows where they are.", "A date that holds.", "late_order"),
    ("The bill is sixty dollars more than what I was quoted.", "Charge me what we agreed on.", "price_surprise"),
    ("I waited an hour past my appointment and nobody said a word.", "Somebody should say sorry.", "wait_time"),
    ("The person at the desk rolled her eyes when I asked again.", "To be taken seriously.", "rude_or_dismissed"),
    ("Everything swims when I look down the stairs.", "A pair that I can walk in.", "non_adapt"),
    ("The coating came off after two weeks, and I am told that is my problem.", "A new pair under the warranty.", "warranty_dispute"),
    ("You called my old number for weeks while my order lay there.", "Use the number I gave you.", "no_pickup_notice"),
    ("They cannot find my order in any drawer.", "My own frame back.", "lost_order"),
)
STORIES: Final = (
    ("They slide down whenever I look at my workbench.", "They stay where they are."),
    ("The left one blurs at the edge, and I get a headache by noon.", "I can read for an hour."),
    ("I have driven here three times now, and each time it was something else.", "That it is right this time."),
    ("I need them for my daughter's wedding on Saturday.", "That they are ready by Friday."),
    ("Nobody called me back, although I was promised it twice.", "One person who calls when they say so."),
)
CALL_NOTES: Final = (
    "Listened to the whole of it.",
    "Reached at the second try.",
    "Agreed on a time to come in.",
    "Left no message; reached later.",
)
THANKS: Final = (
    "Thank you!",
    "Thanks for calling me back.",
    "Ok, see you tomorrow then.",
    "Can I come by after five?",
    "That was quick, thank you",
)
# What a deed lets a person promise, without an estimate: the group's own history decides.
PROMISED: Final = {"remake": "remake", "order_expedited": "order_ready"}
ROOT_CAUSES: Final = ("lab_error", "measurement_error", "frame_defect", "stock_out", "scheduling", "communication", "billing")
PRODUCTS: Final = ("Single vision, Fennick frame", "Progressive, Larkspur frame", "Reading pair", "Sun pair, Glasby frame", "Computer pair")
LABS: Final = ("lab-east", "lab-river", "lab-summit")
REFUND_REASONS: Final = ("charged twice", "warranty not honoured", "returned within 30 days", "second pair cancelled")
