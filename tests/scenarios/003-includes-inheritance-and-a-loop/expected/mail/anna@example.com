Anna, the news
<li>1: tea</li><li>2: coffee</li>
<hr>for anna@example.com
