Ihre Bestellung 17
Grüße 17
