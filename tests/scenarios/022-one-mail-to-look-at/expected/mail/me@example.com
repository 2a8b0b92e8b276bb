Hello, Ben
