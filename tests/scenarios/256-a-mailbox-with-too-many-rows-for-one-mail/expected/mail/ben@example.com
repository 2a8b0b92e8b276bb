Book
Lamp
