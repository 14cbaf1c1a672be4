"""Measurements. Never collected by pytest; run by make bench on a quiet machine."""
