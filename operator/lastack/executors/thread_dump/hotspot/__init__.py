"""HotSpot Java virtual machines, by attach."""
