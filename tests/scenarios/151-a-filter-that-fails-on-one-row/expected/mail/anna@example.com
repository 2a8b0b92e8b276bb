01. Dezember
