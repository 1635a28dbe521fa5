"""From network output to masks: CRF, tracker, windows, online adaptation."""
