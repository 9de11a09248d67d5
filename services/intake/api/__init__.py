"""What intake is asked over HTTP: to take events and complaints, what became of an event, and an incident with its words."""

from services.intake.api.complaints import get_incident, post_complaint
from services.intake.api.events import get_event, post_events

ROUTES = [post_events, get_event, post_complaint, get_incident]

__all__ = ["ROUTES"]
