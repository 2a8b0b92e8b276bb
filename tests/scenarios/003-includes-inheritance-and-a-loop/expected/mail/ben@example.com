!Anna
Subject: The news
<li>1: cake</li>
