Subject: 3 appointments for Anna
1. Mia on 01. December
2. Tom on 03. December
3. Eva on 05. December
first: Mia
