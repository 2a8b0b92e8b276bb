Subject: 2 appointments for Dora
1. Pia on 06. December
2. Max on 07. December
