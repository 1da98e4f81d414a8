"""Words of the support tickets that the synthetic stream is made of.

Topics share many words, and most of what tells them apart is *which* of two mentioned things a
ticket is about. Each calendar period uses some phrases of a topic and not others, so that the
language of a topic drifts.
"""

from __future__ import annotations

SHARES = {"usage": 0.60, "billing": 0.20, "fault": 0.12, "account": 0.06, "security": 0.02}

# Whose words people use by mistake.
NEIGHBOURS = {
    "usage": "fault",
    "billing": "account",
    "fault": "usage",
    "account": "billing",
    "security": "account",
}

MENTIONS = {
    "usage": (
        "the export menu", "the weekly report", "the calendar view", "the shared folder",
        "the import wizard", "the keyboard shortcuts", "the filter bar", "the custom fields",
        "the phone layout", "the template editor", "the bulk editing", "the report page",
        "the colour labels", "the email digest", "the plan view", "the card board",
    ),
    "billing": (
        "the last invoice", "a double charge", "my card payment", "the yearly plan",
        "the VAT number", "a partial refund", "the receipt email", "the discount code",
        "the price change", "the payment page", "the credit note", "our purchase order",
        "the account statement", "the trial fee", "the renewal date", "the bank transfer",
    ),
    "fault": (
        "the error page", "a blank screen", "the crash on start", "the frozen upload",
        "the sync loop", "a failing export", "the missing attachments", "the slow search",
        "the dead link", "the endless spinner", "the red warning", "the lost draft",
        "the stuck import", "the report timeout", "the update failure", "the doubled entries",
    ),
    "account": (
        "my login name", "the user profile", "the account owner", "a seat for a colleague",
        "the change of email", "the company address", "the account closure", "the team invite",
        "the role settings", "the password reset", "the single sign-on", "the login email",
        "the deactivated user", "the workspace name", "the account merge", "the time zone",
    ),
    "security": (
        "a strange login", "the leaked password", "the phishing email", "an unknown device",
        "the access log", "the two-step code", "a stolen laptop", "the suspicious link",
        "the data request", "the encryption report", "an open port", "the audit export",
        "the hijacked account", "the exposed token", "a fake payment page", "the revoked key",
    ),
}  # fmt: skip

PRODUCTS = ("Larkdesk", "Quillbox", "Fernledger", "Tidewell", "Brambleboard")
LATER_PRODUCTS = (
    "Oakrelay", "Wrenport", "Saltmarsh", "Pebblesync", "Mothlight", "Cloverline", "Rookery",
    "Thistlepad",
)  # fmt: skip
CHANNELS = {"email": 0.55, "chat": 0.3, "phone": 0.15}

OPENINGS = (
    "", "", "", "Hello,", "Hi there,", "Good morning,", "Dear team,", "Hello support,", "Hey,",
    "Hi, I work with {p} every day.", "We moved to {p} in spring.", "I am new to {p}.",
    "Our {p} workspace has {n} users.", "My manager asked me to write.", "I called about {n}.",
    "Greetings from the back office.",
)  # fmt: skip

PLAIN = (
    "I have a question about {a}.", "could somebody look at {a} in {p}?", "we are stuck with {a}.",
    "{a} is what keeps us busy today.", "please tell me more about {a}.",
    "can you walk me through {a} in {p}?", "I am writing because of {a}.",
    "nobody in the office understands {a}.", "what should we do about {a}?",
    "in {p} we came across {a} and need advice.", "it concerns {a}, nothing else.",
    "some help with {a} would be kind.", "{a}: who takes care of this?",
    "since Monday {a} gives us trouble.", "my notes on {a} are attached.",
)  # fmt: skip

BRIEF = (
    "{a} again in {p}", "{m} about {a}", "{p}: {a}, {m}", "{m}: question on {a}",
    "{a}, please help {m}", "ticket {n}: {a}", "{m} {a} in {p}", "no. {n}, {a}?", "urgent: {a} {m}",
)  # fmt: skip

VAGUE = (
    "it does not do what I expected, please call me back.", "as discussed on the phone, see above.",
    "can someone get back to me about {p}?", "still waiting for an answer, thank you.",
    "please see the screenshot in my last message.",
)  # fmt: skip

# {a} is what the ticket is about and {r} is not; {m} keeps the telling words apart.
CONTRASTS = (
    "{a} {m} {open}, {but} {r} {m} {done}.",
    "{r} {m} {done}, {but} {a} {m} {open}.",
    "{a} {open} and {r} {m} {done}.",
    "{r} {done} and {a} {m} {open}.",
    "this is not {m} about {r}, {m} it is about {a}.",
    "this is {m} about {a}, it is {m} not about {r}.",
    "I asked about {r} last week and {m} got my answer, so today I ask about {a}.",
    "today I ask about {a}, because last week I asked about {r} and {m} got my answer.",
    "your colleague took my words on {a} for a message on {r}.",
    "for a message on {r} your colleague took my words on {a}.",
    "instead of {r} {m} please look at {a}.",
    "please look {m} at {a} instead of {r}.",
    "at first we suspected {r}, {m} it turned out to be {a}.",
    "it turned out to be {a}, {m} though at first we suspected {r}.",
    "if it were {r} I would {m} not write, but it is {a}.",
    "it is {a}, and if it were {r} I would {m} not write.",
    "you sent me the guide on {r} when I {m} needed the one on {a}.",
    "when I {m} needed the guide on {a} you sent me the one on {r}.",
)
OPEN = (
    "is still open", "needs your help", "is why I write", "keeps coming back", "is the real matter",
    "remains unclear", "must be looked at", "is on my desk", "worries us", "waits for an answer",
)  # fmt: skip
DONE = (
    "is settled", "is fine by now", "is not my question", "was solved yesterday",
    "can be ignored", "works as it should", "is a closed matter", "is off my desk",
    "worries nobody", "has its answer",
)  # fmt: skip
BUT = ("while", "and", "whereas", "though", "but")
FILLERS = (
    "", "", "", "actually", "as far as I can tell", "in {p}", "to be honest", "this time",
    "for our team", "on my side", "once more", "in the end", "as of today",
)  # fmt: skip

ASIDES = (
    "We use {p} on {n} machines.", "The browser is up to date.", "I tried it twice on {p}.",
    "A colleague sees the same.", "See https://help.example.com/{n} for what I read.",
    "It is not urgent, but it would be good to know.", "Our office closes at five.",
    "We have been customers for {n} days.", "I could send a screenshot of {p}.",
    "The phone line was busy all morning.", "Last month everything looked different.",
    "Our reference is {n}.", "@{p} never had this before.",
)  # fmt: skip

CLOSINGS = (
    "", "", "", "Thanks!", "Thank you.", "Best regards", "Kind regards from accounting",
    "Please answer soon.", "Thanks in advance :)", "Cheers", "Looking forward to your reply.",
)  # fmt: skip
