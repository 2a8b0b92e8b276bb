Subject: 1 appointments for Ben
1. Lea on 02. December
!Mia
